"""The REST API: one file a noun; what each route takes and gives is in `bodies`, `answers`."""
