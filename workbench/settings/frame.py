"""The length of a frame, which nothing in this package can choose."""

FRAME_SECONDS = 0.01
FRAMES_PER_SECOND = 100
