"""What a paper takes from studies: tables, figures, a text on the methods, references, and the results as data."""
