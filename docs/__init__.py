"""Pages for users, and what makes some of them: the gallery, the reference, the site."""
