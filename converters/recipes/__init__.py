"""Built-in recipes: data, read by `converters.recipe.recipe`."""
