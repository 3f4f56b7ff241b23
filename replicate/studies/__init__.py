"""One module a question: the numbers of a page of the book that rest on stored runs."""
