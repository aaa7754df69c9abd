"""What is carried out: engine, batches, lease, runner, plans on file, doctor, schedule, migrations."""
