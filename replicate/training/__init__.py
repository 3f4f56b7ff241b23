"""From experiments to stored runs."""
