"""What a piecewise-linear map tells about itself: fixed points, cycles, symbols, equations."""
