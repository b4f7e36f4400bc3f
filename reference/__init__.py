"""Deep Speech 2 in torch: features, model, data and training."""
