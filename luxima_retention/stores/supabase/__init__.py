"""Tables behind PostgREST, as Supabase serves them: the same SQL functions over HTTPS, RPC only."""
