"""Whether this computer has what kedge needs: facts, and what they mean."""
