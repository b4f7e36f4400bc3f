"""The web page of the server, and the files that it consists of."""
