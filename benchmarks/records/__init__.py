"""Records: what a test run found, what each clip got, and which code, commit and versions the numbers come from."""
