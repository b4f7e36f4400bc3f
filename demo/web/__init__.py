"""A page that recognises speech in the browser: building it as a folder of files, and serving that folder."""
