"""The command line: one subcommand = one public function, and every failure one message."""
