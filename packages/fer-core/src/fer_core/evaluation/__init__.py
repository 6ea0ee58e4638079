"""What a trained model is worth: predictions, metrics, pictures, and the result that explains itself."""
