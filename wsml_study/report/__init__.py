"""What is shown: figures, the HTML page, summaries, model card, previews."""
