"""The records: typed tables, repositories, migrations, and the threads that talk to the database."""
