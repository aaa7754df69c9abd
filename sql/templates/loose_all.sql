-- No foreign key is asked.
SELECT items, oldest FROM free
