"""Data on disk and on the way there: stores of decoded frames, videos, archives, keypoints."""
