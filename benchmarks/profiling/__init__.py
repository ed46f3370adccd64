"""What is measured in seconds, bytes and operations."""
