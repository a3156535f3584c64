"""What people and programs reach over HTTP: REST, event streams, pages."""
