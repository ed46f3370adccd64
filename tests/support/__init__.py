"""What several tests share: makers of records, features, tiny systems and published archives, and stand-ins."""
