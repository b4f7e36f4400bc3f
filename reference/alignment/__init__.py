"""Long recordings and their texts: which sentence is where, cut into clips to train on; needs no torch."""
