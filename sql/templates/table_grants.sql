-- What the functions' role may do with the table itself.
GRANT USAGE ON SCHEMA {schema} TO {owner};
GRANT SELECT, DELETE ON {table} TO {owner};
