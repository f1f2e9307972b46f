"""Stories: when each scene is shown, what is seen between two of them, and what is heard."""
