"""Getting a template's assets from its host: one transport a module, one normal form out of each."""
