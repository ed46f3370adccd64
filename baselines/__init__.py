"""Published competitors and simple rules, one file each."""
