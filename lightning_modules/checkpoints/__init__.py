"""Systems from plain configurations and back: checkpoints, hub repositories, released weights of other codebases."""
