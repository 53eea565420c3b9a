"""Linear maps between coefficients: the abstract map, sparse, Kronecker and factorised ones, and their algebra."""
