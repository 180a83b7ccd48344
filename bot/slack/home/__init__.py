"""The app's own two tabs: what Home shows, section by section, and what Messages suggests to ask."""
