"""Text encoders: one file each, class TextEncoder. The folder's listing is the register."""
