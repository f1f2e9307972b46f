"""RunPod Serverless: workers that its endpoint starts."""
