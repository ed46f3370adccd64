"""Pretrained networks that metrics look through."""
