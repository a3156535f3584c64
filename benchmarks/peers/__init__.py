"""What Umbel is compared with, written as people write it."""
