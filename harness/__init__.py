"""A disposable cloud whose machines really boot, and the checks that judge what boots in it."""
