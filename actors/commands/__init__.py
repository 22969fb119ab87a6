"""One module per `shoal` command or family. They import what is heavy when called, so that `shoal --help` is quick."""
