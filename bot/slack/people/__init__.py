"""Who is who, who may what, and when somebody is answered at all."""
