"""What is reached: objects in S3 and directories, PostgreSQL, SQL files, failpoints."""
