-- The role that the functions of tables belong to: nobody logs in as it, and it has what it needs and no more.
CREATE ROLE {definer} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION
