"""Tables, figures and the pages' machinery."""
