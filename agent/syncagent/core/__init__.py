"""The pure core: decides, and knows no clock, disk, socket, thread or log."""
