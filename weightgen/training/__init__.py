"""How anything is trained: one loop, its settings, its data order, its workers and its end."""
