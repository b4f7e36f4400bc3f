"""Archives to training data: long recordings aligned with their texts, and untranscribed ones labelled by a model."""
