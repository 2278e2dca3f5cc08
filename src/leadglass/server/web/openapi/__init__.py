"""What the web door answers, told to programs: an OpenAPI document, and the tables that it is made of."""
