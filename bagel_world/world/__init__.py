"""The world room: time. Contexts that grow, the samplers that paint and write, and the protocols others are written against."""
