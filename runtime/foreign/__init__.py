"""What a file or folder is that was made by another program, for errors that name it; nothing in it is executed."""
