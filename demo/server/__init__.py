"""The server behind ``edgespeech serve``: one engine, and the protocols that existing clients already use."""
