"""The circuit agent: finds the circuit of a task, names the roles of its parts, and tests both on new prompts."""
