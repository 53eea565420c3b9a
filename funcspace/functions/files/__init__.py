"""Functions and data sets in files: our own schema in netCDF and Zarr, and readers for what users have."""
