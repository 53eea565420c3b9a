"""Meshes: cells and facets, generators, refinement, quality, point location, files and exchange with other codes."""
